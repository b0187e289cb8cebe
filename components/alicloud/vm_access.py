"""The way into a machine's cluster, without an inbound port and without a secret on the way.

A key is made here and stays in the state; its certificate request goes to the machine through Cloud
Assistant, and the machine answers with what is public anyway: certificate, CA, SSH host keys. The
same command brings the machine up to date. The answer is kept in the state. Leaves out: the script
(`fleet.alicloud.cloud_init`) and how it is run (`fleet.alicloud.cloud_assistant`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_command as command
import pulumi_tls as tls

from fleet.alicloud.cloud_assistant import ScriptRun, run_command
from fleet.alicloud.kubeconfig import Access, known_hosts, kubeconfig, read_answer
from fleet.alicloud.machine_settings import ADMINS
from fleet.alicloud.network_plan import API


@dataclass(frozen=True, kw_only=True, slots=True)
class AccessArgs:
    """Whose cluster, and what to run there."""

    region: str
    profile: str | None
    instance_id: pulumi.Input[str]
    address: pulumi.Input[str]
    command: Callable[[str], pulumi.Output[str]]
    """Certificate request (PEM) to the script, in base64."""
    settled: Sequence[pulumi.Resource] = ()


class ClusterAccess(pulumi.ComponentResource):
    """A bounded administrator's access to the machine's cluster."""

    kubeconfig: pulumi.Output[str]
    """Secret."""
    known_hosts: pulumi.Output[str]
    """The machine's SSH host keys, as known_hosts lines."""

    def __init__(
        self, name: str, args: AccessArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("opencode-fleet:vm:ClusterAccess", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        key = tls.PrivateKey(
            f"{name}-access-key", algorithm="ECDSA", ecdsa_curve="P256", opts=child
        )
        request = tls.CertRequest(
            f"{name}-access-request",
            private_key_pem=key.private_key_pem,
            subject={"common_name": "opencode-fleet", "organization": ADMINS},
            opts=child,
        )
        answer = self._ask(name, args, pulumi.Output.unsecret(request.cert_request_pem))
        access = answer.apply(read_answer)
        parts = pulumi.Output.all(
            address=args.address, access=access, private_key=key.private_key_pem
        )
        self.kubeconfig = pulumi.Output.secret(parts.apply(lambda known: _config(**known)))
        self.known_hosts = pulumi.Output.all(host=args.address, access=access).apply(
            lambda known: known_hosts(**known)
        )
        self.register_outputs({"knownHosts": self.known_hosts})

    def _ask(self, name: str, args: AccessArgs, request: pulumi.Output[str]) -> pulumi.Output[str]:
        wanted = pulumi.Output.all(instance=args.instance_id, command=request.apply(args.command))
        asked = command.local.Command(
            f"{name}-access-command",
            # Credentials come from the environment that the program itself runs in.
            create=run_command(_python()),
            environment=wanted.apply(
                lambda known: ScriptRun(
                    region=args.region, profile=args.profile, **known
                ).variables()
            ),
            add_previous_output_in_env=False,
            logging=command.local.Logging.STDERR,
            opts=pulumi.ResourceOptions(
                parent=self,
                # The script needs the disk, and a way out to download k3s.
                depends_on=list(args.settled),
                custom_timeouts=pulumi.CustomTimeouts(create="60m", update="60m"),
            ),
        )
        return asked.stdout


def _python() -> Path:
    """Return the Python that this program runs with: it has what the machine's own may lack.

    From the project's folder where it lies in it, so that the state is the same on every machine.
    """
    own = Path(sys.prefix, "bin", "python3")
    return own.relative_to(Path.cwd()) if own.is_relative_to(Path.cwd()) else own


def _config(address: str, access: Access, private_key: str) -> str:
    return kubeconfig(f"https://{address}:{API}", access, private_key)
