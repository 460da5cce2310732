"""Who sends and who asks: tokens, the pods and Apps behind them, and the rights of everybody else. Everything is asked of the API server."""
