package plugintest

func modelChecks() []check { return nil }
