"""The harness: every model trained under one budget, measured and recorded."""
