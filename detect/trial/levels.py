"""The price of looking more than once: at which level each look at a suspect is judged.

All of it is arithmetic on a list of looks (`detect.trial.ledger` keeps the list). For one release and suspect, the plan
that was committed to is judged at the whole level alpha, whenever it comes; whatever departs from it (other questions
or sampler, another base or software, answers asked for anew) is the i-th further look and is judged at alpha / 2^i. So
all looks spend 2 alpha at most, if which of them follow does not hang on what earlier ones showed. Releases that later
calls add share halves likewise (`_share`): 4 alpha in all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from detect.trial.looks import ControlShown, Known, Look, Place, ScoredSlot
from protect.evidence import SlotEvidence


@dataclass(slots=True)
class Ledger:
    """All looks ever entered, oldest first."""

    subjects: list[Known] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    controls: list[ControlShown] = field(default_factory=list)

    def probe_of(self, identity: str) -> str | None:
        """The probe's hash that was recorded for an identity; None if there is none."""
        return next((known.probes[identity] for known in self.subjects if identity in known.probes), None)

    def recognise(self, files: str, identity: str, probe: str = "") -> str:
        """The subject that has these files or answers the probe so; entered if nobody does.

        Suspects that turn out to be one are one from then on.

        Args:
            files: hash of its own weights.
            identity: digest of all that its answers depend on.
            probe: hash of its answers to the probe; empty if they tell nothing.
        """
        same = [k for k in self.subjects if files in k.files or (probe and probe in k.probes.values())]
        if not same:
            same = [Known(files, [], {})]
            self.subjects += same
        first, others = same[0], same[1:]
        for other in others:
            self._merge(first, other)
        if files not in first.files:
            first.files.append(files)
        if probe:
            first.probes[identity] = probe
        return first.subject

    def _merge(self, first: Known, other: Known) -> None:
        first.files += [name for name in other.files if name not in first.files]
        first.probes.update(other.probes)
        self.subjects.remove(other)
        for look in self.looks:
            if look.subject == other.subject:
                # Looks are told apart by number: those of both go on counting side by side.
                look.number = self._next_number(look.release, first.subject, look.plan)
                look.subject = first.subject
        for control in self.controls:
            if control.subject == other.subject:
                control.subject = first.subject

    def current(self, release: str, subject: str, plan: str, files: str = "") -> Look | None:
        """The look that a repeat of a plan goes on with: the first of these very weights whose answers were not lost.

        Other weights that answered the probe alike count as the same suspect and speak for themselves: they are asked,
        and what they say otherwise is a further look.
        """
        return next((t for t in self._looks(release, subject, plan) if not t.lost and t.files == files), None)

    def last(self, release: str, subject: str, plan: str) -> Look | None:
        """The newest look of a plan."""
        return max(self._looks(release, subject, plan), key=lambda look: look.number, default=None)

    def enter(
        self,
        release: str,
        together: Sequence[str],
        subject: str,
        name: str,
        plan: str,
        *,
        departs: bool,
        now: str,
        asked_anew: int = 0,
        files: str = "",
        recipients: range = range(0),
        issued: int = 0,
    ) -> Look:
        """Enter one more look.

        Args:
            release: id of the release under look.
            together: ids of all releases about to be tested on the suspect.
            subject: of the suspect.
            name: of the suspect.
            plan: name of the plan.
            departs: whether it leaves the committed plan.
            now: time.
            asked_anew: see `Look`.
            files: likewise.
            recipients: whose marks are held against the answers, by number.
            issued: see `Look`.
        """
        here = self.of(release, subject)
        number = self._next_number(release, subject, plan)
        committed = not departs and number == 0 and all(look.further for look in here)
        further = 0 if committed else 1 + sum(look.further > 0 for look in here)
        group, share = self._share(release, together, subject)
        key = 1 + max((look.key for look in self.looks), default=0)
        look = Look(key, release, subject, name, plan, number, asked_anew, now, further, group, share, files=files)
        look.recipients, look.issued = len(recipients), issued
        look.among = self._among(here, recipients, issued)
        self.looks.append(look)
        return look

    def of(self, release: str, subject: str) -> list[Look]:
        """All looks at a suspect for a release, oldest first."""
        return [look for look in self.looks if look.release == release and look.subject == subject]

    def place(self, look: Look, new: bool) -> Place:
        """A look among the others."""
        controls = [c for c in self.controls if c.release == look.release]  # a key stays unlucky, whatever is asked
        return Place(
            look,
            new,
            tuple(self.of(look.release, look.subject)),
            self.count_suspects(look.release),
            max((control.e_value for control in controls), default=0.0),
        )

    def count_suspects(self, release: str) -> int:
        """Different suspects ever tested with a release."""
        return len({look.subject for look in self.looks if look.release == release})

    def find(self, key: int) -> Look:
        """The look that has this key."""
        return next(look for look in self.looks if look.key == key)

    def fix(self, look: Look, slot: int, answers: str, now: str) -> Look:
        """Fix a slot's answers before its key is used; returns the look that they belong to.

        Where others had been fixed and are gone, these are one more draw: a further look, at half the level, takes the
        place of the one whose answers were lost.

        Args:
            look: it was entered, and all earlier slots were scored.
            slot: its number.
            answers: hash of questions and answers.
            now: time.
        """
        if slot < len(look.slots) and look.slots[slot].answers != answers:
            look.lost = True
            before = look
            look = self.enter(
                look.release,
                look.together,
                look.subject,
                look.name,
                look.plan,
                departs=True,
                now=now,
                asked_anew=look.asked_anew,
                files=look.files,
            )
            look.recipients, look.among, look.issued = before.recipients, before.among, before.issued
            look.slots = [replace(one, by_lambda=list(one.by_lambda)) for one in before.slots[:slot]]
        if slot == len(look.slots):
            look.slots.append(ScoredSlot(answers))
        return look

    def record(self, look: Look, slot: int, evidence: SlotEvidence) -> None:
        """Enter the evidence in a slot's answers; a slot is scored once."""
        entry = look.slots[slot]
        if entry.p_value is None:
            entry.p_value, entry.by_lambda = evidence.p_value, list(evidence.by_lambda)

    def same_answers(self, look: Look) -> Look | None:
        """An earlier look at the very same answers, as far as it went; None if there is none."""
        own = [slot.answers for slot in look.slots]
        earlier = (o for o in self._looks(look.release, look.subject, look.plan) if o.number < look.number)
        told = ((o, [slot.answers for slot in o.slots]) for o in earlier)
        return next((o for o, answers in told if answers and answers == own[: len(answers)]), None)

    def show_control(self, release: str, plan: str, subject: str, name: str, e_value: float, slots: int) -> None:
        """Remember what a control showed: an unlucky key stays unlucky, whether or not the control is given again."""
        known = self.control(release, plan, subject)
        if known is None:
            self.controls.append(ControlShown(release, plan, subject, name, e_value, slots))
        else:
            known.e_value, known.slots = max(known.e_value, e_value), max(known.slots, slots)

    def control(self, release: str, plan: str, subject: str) -> ControlShown | None:
        """What a control showed; None if it was not asked."""
        same = (c for c in self.controls if (c.release, c.plan, c.subject) == (release, plan, subject))
        return next(same, None)

    def _among(self, earlier: Sequence[Look], recipients: range, issued: int) -> int:
        """Among how many recipients a look names somebody.

        One recipient alone counts for itself only if nothing of the answers can have told which: nobody else's marks
        were held against them yet, and its copy was issued before they were first asked for. Else everybody counts who
        ever had a copy.
        """
        alone = len(recipients) == 1 and all(look.recipients <= 1 for look in earlier)
        if alone and (not earlier or recipients.start <= earlier[0].issued):
            return 1
        return max(1, issued, len(recipients), *(max(look.among, look.issued) for look in earlier))

    def _looks(self, release: str, subject: str, plan: str) -> list[Look]:
        return [look for look in self.of(release, subject) if look.plan == plan]

    def _next_number(self, release: str, subject: str, plan: str) -> int:
        return 1 + max((look.number for look in self._looks(release, subject, plan)), default=-1)

    def _share(self, release: str, releases: Sequence[str], subject: str) -> tuple[list[str], int]:
        """Which releases were first entered together with this one, and its share of the level: alpha over the number.

        It is R · 2^b for R releases first entered by one call, after b earlier calls that entered others for the same
        suspect: the first call spends alpha, the next one half of it, and so on, 2 alpha in all.
        """
        earlier = [look for look in self.looks if look.subject == subject]
        for look in earlier:
            if release in look.together:
                return look.together, look.share
        known = {name for look in earlier for name in look.together}
        group = sorted(set(releases) - known | {release})
        calls = len({tuple(look.together) for look in earlier})
        return group, len(group) * 2**calls
