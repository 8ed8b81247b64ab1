"""The official SDK's credential objects, the real ones: told by their shape, read off the loop where they block."""

import asyncio
import threading
import traceback
from collections.abc import Callable

import pytest
from pydantic import SecretStr
from tencentcloud.common import credential as sdk

from mps_aigc_async import AccountError, AigcClient, ConfigError, Credentials, ImageRequest
from mps_aigc_async.credentials.keyring import UNKNOWN_END_S, KeyRing
from mps_aigc_async.credentials.official_sdk import AnyCredentials, OfficialSource, recognise
from mps_aigc_async.testing import run, wall

from ..support import client_of, configured, in_memory


class Assumed(sdk.STSAssumeRoleCredential):  # type: ignore[misc] # the SDK has no types
    """The real class without its HTTP: `AssumeRole` answers at once, and notes the thread that asked."""

    def __init__(self) -> None:
        super().__init__("AKIDLONG", "long", "qcs::cam::uin/1:roleName/r", "session")
        self.threads: list[int] = []

    def get_sts_tmp_role_arn(self) -> None:
        self.threads.append(threading.get_ident())
        number = len(self.threads)
        self._tmp_secret_id, self._tmp_secret_key = f"AKID-{number}", f"key-{number}"
        self._token, self._expired_time = f"token-{number}", 1e12

    def end(self) -> None:
        self._expired_time = 0


class Role(sdk.CVMRoleCredential):  # type: ignore[misc] # the SDK has no types
    """On a machine without a role: the real class gives None for each of the three then."""

    def update_credential(self) -> None: ...


class Old:
    """As in older versions: no `get_credential_info`, the older names, and a refresh between two looks."""

    def __init__(self) -> None:
        self.looks = 0

    @property
    def secretId(self) -> str:  # noqa: N802 — theirs
        self.looks += 1
        return "AKID-1" if self.looks == 1 else "AKID-2"

    @property
    def secretKey(self) -> str:  # noqa: N802 — theirs
        return f"key-{self.secretId[-1]}"

    @property
    def token(self) -> str:
        return f"token-{self.secretId[-1]}"


def test_a_plain_credential_is_keys_for_good_and_needs_no_account() -> None:
    given = sdk.Credential("AKIDEXAMPLE", "KEYEXAMPLE", "token")
    keys = recognise(given)
    assert keys == Credentials("AKIDEXAMPLE", SecretStr("KEYEXAMPLE"), SecretStr("token"))
    assert isinstance(keys, Credentials)
    assert keys.account in repr(AigcClient(configured(), credentials=given))


def test_a_plain_credential_signs() -> None:
    async def main() -> None:
        async with client_of(in_memory(), credentials=sdk.Credential("AKIDEXAMPLE", "KEYEXAMPLE")) as client:
            assert (await client.generate(ImageRequest(prompt="a lake"))).urls

    run(main())


@pytest.mark.parametrize(
    "make",
    [
        Assumed,
        Role,
        lambda: sdk.OIDCRoleArnCredential("ap-guangzhou", "p", "t", "r", "s"),
        sdk.EnvironmentVariableCredential,
        sdk.ProfileCredential,
        sdk.DefaultCredentialProvider,
        sdk.DefaultTkeOIDCRoleArnProvider,
    ],
)
def test_what_may_block_or_change_is_not_looked_at_and_needs_an_account(
    make: Callable[[], AnyCredentials], monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(sdk, "urlopen", asked)
    monkeypatch.setattr(sdk, "CommonClient", asked)
    given = make()
    with pytest.raises(ConfigError, match="account is missing"):
        AigcClient(configured(), credentials=given)
    AigcClient(configured(account="team"), credentials=given)
    assert repr(recognise(given)) == f"<OfficialSource of {type(given).__name__}>"


def test_assumed_roles_are_read_in_a_thread_and_again_every_few_minutes() -> None:
    async def main() -> None:
        given = Assumed()
        ring = KeyRing(recognise(given), wall)
        keys = await ring.current()
        assert keys == Credentials("AKID-1", SecretStr("key-1"), SecretStr("token-1"))
        given.end()
        assert (await ring.current()).secret_id == "AKID-1"
        await asyncio.sleep(UNKNOWN_END_S + 1)
        assert (await ring.current()).secret_id == "AKID-1"  # and a new look has begun
        await asyncio.sleep(1)
        assert (await ring.current()).secret_id == "AKID-2"
        assert threading.get_ident() not in given.threads
        await ring.close()

    run(main())


def test_after_a_refusal_they_are_read_again() -> None:
    async def main() -> None:
        service = in_memory()
        given = Assumed()
        service.issue("AKID-2", "key-2", "token-2", wall() + 10_000)
        async with client_of(service, configured(account="team"), credentials=given) as client:
            given.get_sts_tmp_role_arn()
            given.end()  # by the service's word the first ones are gone as well: AuthFailure.SecretIdNotFound
            assert (await client.generate(ImageRequest(prompt="a lake"))).urls

    run(main())


def test_the_environment_through_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        keys = await KeyRing(recognise(sdk.EnvironmentVariableCredential()), wall).current()
        assert keys == Credentials("AKIDENV", SecretStr("env-key"))
        monkeypatch.delenv("TENCENTCLOUD_SECRET_KEY")
        with pytest.raises(AccountError, match="the refresh failed: it gave no keys"):
            await KeyRing(recognise(sdk.DefaultKeys()), wall).current()

    class DefaultKeys(sdk.EnvironmentVariableCredential):  # type: ignore[misc] # the SDK has no types
        pass

    monkeypatch.setattr(sdk, "DefaultKeys", DefaultKeys, raising=False)
    monkeypatch.setenv("TENCENTCLOUD_SECRET_ID", "AKIDENV")
    monkeypatch.setenv("TENCENTCLOUD_SECRET_KEY", "env-key")
    run(main())


def test_a_machine_without_a_role_has_no_keys() -> None:
    async def main() -> None:
        with pytest.raises(AccountError, match="it gave no keys"):
            await KeyRing(recognise(Role()), wall).current()

    run(main())


def test_older_versions_are_read_whole() -> None:
    async def main() -> None:
        keys = await KeyRing(recognise(Old()), wall).current()  # type: ignore[arg-type] # older names than the protocol's
        assert keys == Credentials("AKID-2", SecretStr("key-2"), SecretStr("token-2"))

    run(main())


async def test_a_look_that_hangs_takes_one_thread_however_often_it_is_tried() -> None:
    let_go, looks = threading.Event(), []

    class Hanging:
        secret_key = token = "k"

        @property
        def secret_id(self) -> str:
            looks.append(threading.get_ident())
            let_go.wait(10)
            return "AKID"

    source = OfficialSource(Hanging())
    for _ in range(5):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(source(), 0.01)
    assert len(looks) == 1
    let_go.set()
    assert (await source()).secret_id == "AKID"


@pytest.mark.parametrize("given", [5, "AKIDEXAMPLE", sdk.Credential, object(), {"secretId": "AKID"}])
def test_what_is_no_credential_is_refused_by_its_type(given: AnyCredentials) -> None:
    with pytest.raises(ConfigError, match=r"^credentials: "):
        recognise(given)


def test_an_object_without_keys_is_refused() -> None:
    given = sdk.Credential("AKIDEXAMPLE", "KEYEXAMPLE")
    given.secret_key = " "
    with pytest.raises(ConfigError, match="this Credential has no keys"):
        recognise(given)


class Attributes:
    """An object of the official SDK's shape that checks nothing."""

    def __init__(self, secret_id: str, secret_key: str, token: str) -> None:
        self.secret_id, self.secret_key, self.token = secret_id, secret_key, token


@pytest.mark.parametrize("name", ["secret_id", "secret_key", "token"])
def test_an_objects_key_that_no_header_can_carry_is_refused_and_not_shown(name: str) -> None:
    keys = {"secret_id": "AKIDEXAMPLE", "secret_key": "KEYEXAMPLE", "token": "TOKEN"} | {name: "first-half second-half"}
    given = Attributes(**keys)
    with pytest.raises(ConfigError, match=f"^credentials: {name} has a blank in it") as caught:
        recognise(given)
    keys.clear()
    assert caught.value.__traceback__ is not None
    ours = caught.value.with_traceback(caught.value.__traceback__.tb_next)
    assert "half" not in "".join(traceback.TracebackException.from_exception(ours, capture_locals=True).format())


def test_an_objects_keys_are_cured_of_what_was_copied_with_them() -> None:
    keys = recognise(Attributes(' "AKIDEXAMPLE"\n', "\ufeffKEYEXAMPLE\u200b", "'TOKEN'"))
    assert keys == Credentials("AKIDEXAMPLE", SecretStr("KEYEXAMPLE"), SecretStr("TOKEN"))
