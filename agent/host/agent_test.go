package host_test

func maybeAgent() {}
