"""The round trip with Label Studio: interface, tasks, server, and the annotators' work back whole."""
