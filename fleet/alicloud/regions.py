"""Regions on offer, and which of them lie in mainland China.

Source: the public list of regions, without those that closed and those of finance and government
clouds, which take other accounts. One that opens later is known by its form only. Zones are a
region's id and a letter, checked by form only, because they open and close. Leaves out: prices
(`prices`).
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
        "ap-southeast-6": Region("Manila", mainland=False),
        "ap-southeast-7": Region("Bangkok", mainland=False),
        "ap-northeast-1": Region("Tokyo", mainland=False),
        "ap-northeast-2": Region("Seoul", mainland=False),
        "cn-hongkong": Region("Hong Kong", mainland=False),
        "us-west-1": Region("Silicon Valley", mainland=False),
        "us-east-1": Region("Virginia", mainland=False),
        "na-south-1": Region("Mexico", mainland=False),
        "eu-central-1": Region("Frankfurt", mainland=False),
        "eu-west-1": Region("London", mainland=False),
        "me-east-1": Region("Dubai", mainland=False),
        "me-central-1": Region("Riyadh", mainland=False),
        "cn-qingdao": Region("Qingdao", mainland=True),
        "cn-beijing": Region("Beijing", mainland=True),
        "cn-zhangjiakou": Region("Zhangjiakou", mainland=True),
        "cn-huhehaote": Region("Hohhot", mainland=True),
        "cn-wulanchabu": Region("Ulanqab", mainland=True),
        "cn-hangzhou": Region("Hangzhou", mainland=True),
        "cn-shanghai": Region("Shanghai", mainland=True),
        "cn-nanjing": Region("Nanjing", mainland=True),
        "cn-fuzhou": Region("Fuzhou", mainland=True),
        "cn-shenzhen": Region("Shenzhen", mainland=True),
        "cn-zhongwei": Region("Zhongwei", mainland=True),
        "cn-heyuan": Region("Heyuan", mainland=True),
        "cn-guangzhou": Region("Guangzhou", mainland=True),
        "cn-chengdu": Region("Chengdu", mainland=True),
    }
)


def region_of(region_id: str) -> Region:
    """Return what is known of a region; of one that is not listed, what its name says."""
    mainland = region_id.startswith("cn-") and region_id != "cn-hongkong"
    return REGIONS.get(region_id) or Region(region_id, mainland=mainland)


def zone_in_region(zone: str, region: str) -> bool:
    """Tell whether `zone` is one of `region`: `ap-southeast-1c`, `cn-hongkong-b`."""
    letter = zone.removeprefix(region).removeprefix("-")
    return zone.startswith(region) and len(letter) == 1 and letter.isalpha()
