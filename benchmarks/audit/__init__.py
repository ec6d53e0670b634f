"""What an audit of submitted runs needs of models, data and training; `results.audit` asks for it."""
