"""The embedded S3 server, used where no bucket is configured."""
