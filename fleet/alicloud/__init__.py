"""Alibaba Cloud as pure data: stack-file models, address arithmetic, prices, permissions."""
