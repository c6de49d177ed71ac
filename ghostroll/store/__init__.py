"""The private S3 bucket: connection, uploads, retries, presigned links."""
