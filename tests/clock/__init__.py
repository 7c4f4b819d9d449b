"""The wall clock: wrong at a start, set while the gateway runs, stopped with the machine."""
