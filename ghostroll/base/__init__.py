"""What everything else stands on: settings, errors, log, durable writes, locks, session paths."""
