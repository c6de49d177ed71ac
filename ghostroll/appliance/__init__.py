"""Code that only an appliance needs: requests to the root helpers, boot configuration, card presence."""
