"""Jobs: work that outlives the window that started it.

A job is a folder `KIND/jobNNN/` in a project, and the project is the folder where the user works.
Its files are the only truth, so that the command line, the web pages, several users and several
hosts see the same; nobody needs to ask a server.

    KIND/job007/job.json       what to run, written once
    KIND/job007/card.json      name, notes and priority, that people write on it
    KIND/job007/state.json     where it stands, written by its runner alone
    KIND/job007/log.txt        all that the command says
    KIND/job007/progress.json  what the command tells of itself, beside its results
    KIND/job007/claimed        one runner has taken it
    KIND/job007/cancel         somebody wants it to end
    .isonet/ids/000007         its number is given away
    .isonet/paused             no queued job begins
    .isonet/trash/             removed jobs

`Jobs` is the way in:

    jobs = Jobs(project)
    job = jobs.submit(RefineParameters(star_file="tomograms.star"), after=(3,))
    jobs.submit(parameters, now=True)           # past the queue
    jobs.list(), jobs.show(7)                   # frozen `Job` records, read anew each time
    job.status, job.reason, job.progress()      # a `Status`, a sentence, a `Progress` or None
    text, offset = jobs.log(7, offset)          # bytes, and where to go on
    jobs.cancel(7), jobs.retry(7)
    jobs.edit(7, name="...", notes="...", priority=5)
    jobs.remove(7)                              # to the trash: its path and size
    jobs.pause(), jobs.paused, jobs.resume()
    jobs.runs()                                 # runs that were started in a terminal
    jobs.wake()                                 # after a restart of the machine

All of them raise `InputError` with a sentence for the user. They read and write files and start
detached processes; a call on a cold network disk may take a moment, so that a server makes them in
a thread. Nothing here imports torch.
"""

from isonet2.jobs.records import Job, Status
from isonet2.jobs.store import Jobs, Removed

__all__ = ["Job", "Jobs", "Removed", "Status"]
