"""Settings, errors, logging, durable writes, locks, session paths: what every other package may import."""
