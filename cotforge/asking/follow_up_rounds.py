"""What follows the vote, asked in rounds until nothing is wanted any more.

The verdicts are found by all that the journal holds of the vote. Where a follow-up bars teachers by what it finds out over all Samples,
the Calls that tell are asked in a pass of their own first. One round is enough where all teachers are asked side by side; teachers that
share a GPU take turns, and what one says may lead to Calls of another whose turn is over: then there is one more round.
"""

from collections.abc import Collection, Iterator
from functools import partial

from cotforge.coroutines import in_thread
from cotforge.curation import Curation
from cotforge.endings import Closing
from cotforge.followups.frame import SampleFollowUps
from cotforge.forge import Forge, Progress
from cotforge.forge.followup_turn import wanted_teachers
from cotforge.forge.pending import SettledReplies
from cotforge.records import Fault, Sample


class FollowUpRounds:
    """The follow-ups of one invocation."""

    def __init__(self, curation: Curation, settled: SettledReplies, progress: Progress, *, among: Collection[str]) -> None:
        """`curation` reads its Samples until `progress.stopped`; `among`: the teachers that are probably asked."""
        self._curation, self._settled, self._progress, self._among = curation, settled, progress, among
        self._decided = False

    def find_wanted(self) -> set[str]:
        """The teachers of whom something is wanted now, in this pass or else in the next one."""
        if not self._decided:
            self._curation.decided()
            self._decided = True
            if self._curation.bars:
                self._curation.begin_barring()
        while True:
            wanted = wanted_teachers(self._steps(), self._settled.replies, self._among)
            if wanted or not self._next_pass():
                return wanted

    async def ask(self, forge: Forge) -> None:
        """Ask all that is wanted; ends early where the run is stopped. The vote must be at its end."""
        meters = self._progress.teachers
        before = {name: meter.postponed for name, meter in meters.items()}
        while not self._progress.stopped:
            wanted = await in_thread(self.find_wanted)
            if not wanted or self._progress.stopped:
                return
            for name, meter in meters.items():  # what is wanted and not asked is found again by every round
                meter.postponed = before[name]
            asked = self._progress.asked
            asked_now = self._asked_now(wanted)
            left = await forge.run_follow_ups(self._steps, self._settled.replies, asked_now) if asked_now else wanted
            is_last = not left or self._progress.asked == asked
            if is_last and (self._progress.stopped or not await in_thread(self._next_pass)):
                return

    def _asked_now(self, wanted: set[str]) -> set[str]:
        """The teachers of a round: of those that hold no device also such as may be asked once the others have answered.

        One that was closed for good is none of them; one that was out of reach may be back.
        """
        meters, teachers = self._progress.teachers, self._curation.loaded.pipeline.teachers
        open_now = {name for name, meter in meters.items() if meter.closed in (None, Closing.OVER, Closing.OUT_OF_REACH)}
        if not wanted & open_now:
            return set()
        return open_now & (wanted | {one.name for one in teachers if one.name in self._among and not one.devices()})

    def _next_pass(self) -> bool:
        """Whether there is one more."""
        if self._progress.stopped or not self._curation.is_barring:
            return False
        self._curation.bar_teachers()
        return True

    def _steps(self) -> Iterator[SampleFollowUps | Fault]:
        begin = partial(_begin_follow_ups, self._curation)
        return (steps for sample in self._curation.samples() if (steps := begin(sample)) is not None)


def _begin_follow_ups(curation: Curation, sample: Sample | Fault) -> SampleFollowUps | Fault | None:
    return sample if isinstance(sample, Fault) else curation.curator.follow_ups_of(sample)
