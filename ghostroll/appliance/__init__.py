"""What only the appliance has: files that ask the root helpers, the boot configuration, the card in its reader."""
