"""The parts of the state machine behind `services.notifier.takedown`. Pure."""
