"""An App's rows: their life cycle, numbers, pins and ends, the ledger behind them, and which of them retention deletes."""
