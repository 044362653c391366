"""The sections of the experiment file; `drivereplay.spec` puts them together."""
