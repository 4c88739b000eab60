package plugintest

func simulatorChecks() []check { return nil }
