"""The app `protect`. Each part keeps its commands in a `commands.py` of its own; none imports torch but `check`."""

from __future__ import annotations

from protect.check.commands import check_command
from protect.console import make_app
from protect.embed.commands import commit_command, diff_command, embed_command, show_command, verify_command
from protect.release.commands import ls_command, plan_command, retire_command

protect_app = make_app("Plant marks in an image-caption dataset before you release it.")

protect_app.command("embed")(embed_command)
protect_app.command("commit")(commit_command)
protect_app.command("plan")(plan_command)
protect_app.command("check")(check_command)
protect_app.command("show")(show_command)
protect_app.command("verify")(verify_command)
protect_app.command("diff")(diff_command)
protect_app.command("ls")(ls_command)
protect_app.command("retire")(retire_command)
