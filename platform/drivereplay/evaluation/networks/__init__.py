"""Our torch implementations of public networks; their weights come from `drivereplay weights install`."""
