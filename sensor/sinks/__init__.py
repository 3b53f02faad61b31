"""Where alerts go.

A sink sends one rendered alert and returns when the receiver has it, or raises
`DeliveryError`. `Delivery` gives each sink a thread and a bounded queue, retries
what can be retried, and counts what was sent and what was not.
"""
