"""From a client's call to a method and back: connections, parameters, methods, subscriptions."""
