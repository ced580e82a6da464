"""The one way from inputs to published results: select, run, publish.

`select` says which volumes of an input are diagnosed; `run` reads each, runs the stages of its task and publishes the
results (`publish`), for the command line, the listener's worker and the Python API alike. `journal`, `worker` and
`supervisor` keep a queue of studies that outlives the process, and diagnose it in a process of its own.
"""
