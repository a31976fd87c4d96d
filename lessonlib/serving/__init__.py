"""Engines behind one OpenAI-compatible client. Importing this imports nothing heavy.

`sleep_node` holds engines with vLLM's sleep mode as a state machine: memory to the byte, times from sizes and link speeds,
real routes and statuses. `wire` makes the bodies, `client` speaks to such an engine directly, over HTTP, or to a real vLLM;
`front` puts it behind a real server on this machine, `embedded` lets a model of the course answer, `day` runs a plan."""
