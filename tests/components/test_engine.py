"""The recording engine itself: what it keeps, and which runs it refuses."""

from __future__ import annotations

from typing import Any, cast

import pulumi
import pulumi_alicloud as alicloud
import pulumi_tls as tls
import pytest

from tests.support.recording import Engine, run

KEY = "tls:index/privateKey:PrivateKey"


class Holder(pulumi.ComponentResource):
    """A component with one network whose options are all set."""

    def __init__(
        self, name: str, opts: pulumi.ResourceOptions | None = None, *, closed: bool = True
    ) -> None:
        super().__init__("opencode-fleet:test:Holder", name, None, opts)
        self.network = alicloud.vpc.Network(
            f"{name}-vpc",
            vpc_name=pulumi.Output.secret("quiet"),
            cidr_block="10.0.0.0/16",
            opts=pulumi.ResourceOptions(
                parent=self,
                protect=True,
                retain_on_delete=True,
                ignore_changes=["cidr_block"],
                replacement_trigger=3,
            ),
        )
        if closed:
            self.register_outputs({})


def _provider() -> pulumi.ResourceOptions:
    return pulumi.ResourceOptions(providers=[alicloud.Provider("cloud", region="cn-hongkong")])


def test_a_run_records_inputs_options_and_exports() -> None:
    def program() -> None:
        holder = Holder("one", _provider())
        pulumi.export("id", holder.network.id)
        key = tls.PrivateKey("key", algorithm="ED25519")
        pulumi.export("key", key.private_key_pem)

    engine = run(
        program, Engine(outputs={KEY: lambda _: {"privateKeyPem": pulumi.Output.secret("abc")}})
    )

    network = engine.one("Network")
    assert network.inputs == {"cidrBlock": "10.0.0.0/16", "vpcName": "quiet"}
    assert network.is_secret("vpcName")
    assert not network.is_secret("cidrBlock")
    assert network.urn.endswith("opencode-fleet:test:Holder$alicloud:vpc/network:Network::one-vpc")
    assert network.options.protect
    assert network.options.retain_on_delete
    assert network.options.ignore_changes == ("cidrBlock",)
    assert network.options.replacement_trigger == 3
    assert engine.exports == {"id": "one-vpc-id", "key": "abc"}
    assert engine.secret_exports == {"key"}


def test_the_default_provider_is_refused() -> None:
    with pytest.raises(AssertionError, match="default provider"):
        run(lambda: Holder("one"))


def test_a_resource_outside_of_a_component_is_refused() -> None:
    def program() -> None:
        provider = alicloud.Provider("cloud", region="cn-hongkong")
        alicloud.vpc.Network("bare", opts=pulumi.ResourceOptions(provider=provider))

    with pytest.raises(AssertionError, match="outside of any component"):
        run(program)


def test_a_component_that_never_registers_outputs_is_refused() -> None:
    with pytest.raises(AssertionError, match="without register_outputs"):
        run(lambda: Holder("one", _provider(), closed=False))


def test_equal_urns_are_refused() -> None:
    def program() -> None:
        tls.PrivateKey("key", algorithm="ED25519")
        tls.PrivateKey("key", algorithm="ED25519")

    with pytest.raises(AssertionError, match="duplicate URN"):
        run(program)


class Old(pulumi.ComponentResource):
    """A component that uses what the SDK still accepts and the provider does not want."""

    def __init__(self, cluster: dict[str, Any]) -> None:
        super().__init__("opencode-fleet:test:Old", "old", None, _provider())
        child = pulumi.ResourceOptions(parent=self)
        cast("Any", alicloud.cs.ManagedKubernetes)("cluster", opts=child, **cluster)
        self.register_outputs({})


def test_a_nested_argument_the_sdk_would_drop_is_refused() -> None:
    with pytest.raises(AssertionError, match=r"addons\.0\.nme: unknown to the SDK"):
        run(lambda: Old({"addons": [{"nme": "terway"}]}))


def test_a_deprecated_argument_is_refused() -> None:
    with pytest.raises(AssertionError, match="'client_key' has been deprecated"):
        run(lambda: Old({"client_key": "key.pem"}))


def test_a_providers_setting_in_the_wrong_spelling_is_refused() -> None:
    def program() -> None:
        alicloud.Provider("cloud", features={"ecs_instance": {}})

    with pytest.raises(AssertionError, match=r"features\.ecs_instance: unknown to the SDK"):
        run(program)


def test_known_arguments_pass() -> None:
    made = run(lambda: Old({"addons": [{"name": "terway", "config": "{}"}]}))
    (cluster,) = made.of_type("ManagedKubernetes")
    assert cluster.inputs["addons"] == [{"name": "terway", "config": "{}"}]


def test_a_failing_apply_fails_the_run() -> None:
    def program() -> None:
        pulumi.Output.from_input(0).apply(lambda zero: 1 // zero)

    with pytest.raises(ZeroDivisionError):
        run(program)


def test_an_unlisted_look_up_fails_the_run() -> None:
    def program() -> None:
        alicloud.get_zones_output(opts=pulumi.InvokeOutputOptions())

    with pytest.raises(BaseException, match="unexpected look-up alicloud:index/getZones"):
        run(program)
