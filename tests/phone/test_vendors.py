"""Which telephone companies there are."""

from __future__ import annotations

import pytest

from antiphon.channels.phone.vendor import VendorOptions
from antiphon.errors import UserFacingError
from antiphon.phone.config import PhoneConfig
from antiphon.phone.vendors import available, make_vendors, vendor_class


def test_those_of_the_package() -> None:
    assert set(available()) >= {"exotel", "plivo", "telnyx", "twilio", "vonage"}


@pytest.mark.parametrize("name", ["telnyx", "twilio", "vonage", "plivo", "exotel"])
def test_each_can_be_loaded(name: str) -> None:
    cls = vendor_class(name)
    assert cls.name == name
    assert issubclass(cls.Options, VendorOptions)


def test_one_that_is_not_there() -> None:
    with pytest.raises(UserFacingError, match="did you mean `twilio`"):
        vendor_class("Twillio")
    with pytest.raises(UserFacingError, match=r"there are .*twilio"):
        vendor_class("zzz")


def test_options_that_are_wrong() -> None:
    with pytest.raises(UserFacingError, match="account_sid: Field required"):
        make_vendors(PhoneConfig(vendors={"twilio": {}}))
