"""The service: a durable queue of requests behind HTTP, on one machine.

    wire.py         messages over a pipe: a length, then JSON
    worker.py       the process that owns a `Studio`; torch is imported there alone
    jobs.py         what was asked and what became of it, in a database
    speeds.py       how long requests take here
    company.py      which jobs are painted at the same time
    dispatch.py     gives jobs to the worker, and tells who listens how they go
    uploads.py      pictures from outside: decoded in a child with limits, kept by their digest
    decoder.py      that child
    asked.py        what a request from outside may name
    settings.py     how a service is set up
    serve.py        listens until it is told to end
    connections.py  lets clients go that do not come to the point
    door.py         who may come in, and with how much
    inspected.py    what there is to paint with, looked into
    opening.py      the port is open while the rest is loaded
    desk.py         what all dialects do with the queue
    sketches.py     quick pictures while somebody types, which are kept nowhere
    app.py          the native API, and all of it together
    dialects/       the same queue for programs written for others: A1111, OpenAI, ComfyUI
    client.py       `sfumato.Client`: a studio somewhere else

The parent holds HTTP, queue and database, and never imports torch. Whatever goes wrong while painting (a crash, a kill
for want of memory) costs an attempt of what was painted.
"""
