"""The columns of every table, a module a table; `kernels.features` is how the rest reads them."""
