"""Regions on offer, and which of them lie in mainland China.

Source: the public list of regions; zones are a region's id and a letter, checked by form only,
because zones open and close. Leaves out: prices (`prices`).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import NamedTuple


class Region(NamedTuple):
    """Where a region is, and whether public sites there need an ICP filing and mirrors."""

    place: str
    mainland: bool


REGIONS = MappingProxyType(
    {
        "ap-southeast-1": Region("Singapore", mainland=False),
        "ap-southeast-3": Region("Kuala Lumpur", mainland=False),
        "ap-southeast-5": Region("Jakarta", mainland=False),
        "ap-southeast-7": Region("Bangkok", mainland=False),
        "ap-northeast-1": Region("Tokyo", mainland=False),
        "ap-northeast-2": Region("Seoul", mainland=False),
        "cn-hongkong": Region("Hong Kong", mainland=False),
        "us-west-1": Region("Silicon Valley", mainland=False),
        "us-east-1": Region("Virginia", mainland=False),
        "eu-central-1": Region("Frankfurt", mainland=False),
        "eu-west-1": Region("London", mainland=False),
        "me-east-1": Region("Dubai", mainland=False),
        "cn-beijing": Region("Beijing", mainland=True),
        "cn-zhangjiakou": Region("Zhangjiakou", mainland=True),
        "cn-hangzhou": Region("Hangzhou", mainland=True),
        "cn-shanghai": Region("Shanghai", mainland=True),
        "cn-shenzhen": Region("Shenzhen", mainland=True),
        "cn-guangzhou": Region("Guangzhou", mainland=True),
        "cn-chengdu": Region("Chengdu", mainland=True),
    }
)


def zone_in_region(zone: str, region: str) -> bool:
    """Tell whether `zone` is one of `region`: `ap-southeast-1c`, `cn-hongkong-b`."""
    letter = zone.removeprefix(region).removeprefix("-")
    return zone.startswith(region) and len(letter) == 1 and letter.isalpha()
