package plugintest

func comparatorChecks() []check { return nil }
