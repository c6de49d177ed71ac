"""The sample card and the settings of `ghostroll demo`."""
