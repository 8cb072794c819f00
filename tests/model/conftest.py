import pytest


@pytest.fixture(autouse=True, scope="module")
def compiled_so(compiled_as_users_do):
    """All tests of the network."""
