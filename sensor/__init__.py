"""span-sensor: a network anomaly sensor for mirror (SPAN) ports.

Packets come in from a live interface or a capture file, become bidirectional
flows, then features, then calibrated anomaly scores, then alerts. The same
code runs live and in replay; time is whatever the packets say it is.
"""

__version__ = "0.1.0"
