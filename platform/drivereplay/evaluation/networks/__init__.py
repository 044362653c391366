"""Our torch implementations of the public networks that metrics rest on; weights come from `drivereplay weights install`."""
