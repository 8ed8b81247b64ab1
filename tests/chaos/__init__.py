"""Trouble of every sort at once, for minutes, by a seeded plan: is anything lost, made twice or mixed up?

Batches of chains run in processes of their own (`batch`), one at a time on one account, with a ledger and files on
disk. Between them and the emulator, which keeps the truth, stand the fault proxy and a door (`door`) that notes every
call's arrival and writes on idle connections. A deck (`deck`) deals the trouble, `running` carries it out, `ledgers`
takes ledgers away and puts them back, and `checks` compares the observations (`facts`). `tests/test_chaos.py` runs for
half a minute, `python -m benchmarks chaos` for as long as you like.
"""
