"""What puts sessions and catalog right after crashes, and checks them."""
