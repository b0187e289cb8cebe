"""Options that several commands take, each worded once.

Short because it is a list, apart so that the command modules need not import one another.
"""

from __future__ import annotations

from typing import Annotated

import typer

Stack = Annotated[
    str,
    typer.Option("-s", "--stack", envvar="FLEET_STACK", help="Environment, or its stack file."),
]
Context = Annotated[
    str | None, typer.Option(help="kubeconfig context, instead of the stack file's.")
]
Image = Annotated[
    str | None, typer.Option(help="Image reference to run, instead of the stack file's.")
]
DoorImage = Annotated[
    str | None, typer.Option(help="The same for the door, instead of the stack file's.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a script.")]
User = Annotated[str, typer.Argument(metavar="USER", help="A user's id.")]
