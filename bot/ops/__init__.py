"""The operator's surface of a run: alerts, metrics, health, the watchdog. The run never waits for any of it."""
