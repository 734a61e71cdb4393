"""Turns the Hub client's errors into built-in exceptions with one sentence."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from skelrep.messages import one_line


def checked_token(token: str | bool | None) -> str | bool | None:
    """An access token without surrounding spaces and line ends.

    The HTTP client refuses characters that a header must not contain, and its message shows the whole token.

    Raises:
        ValueError: if the token contains anything but visible ASCII; the message does not show the token.
    """
    if not isinstance(token, str):
        return token
    if not (token := token.strip()) or not all("!" <= character <= "~" for character in token):
        raise ValueError("the token is empty, or contains spaces, line ends or non-ASCII characters; copy it again")
    return token


@contextlib.contextmanager
def explain_errors(repo_id: str, revision: str | None = None) -> Iterator[None]:
    """Turns the Hub client's many errors into built-in exceptions with one sentence that says what to do."""
    from huggingface_hub import errors

    log_in = "log in with `hf auth login`, or pass token="
    try:
        yield
    except errors.GatedRepoError as error:
        raise PermissionError(f"{repo_id} is gated: request access on its page on the Hub, then {log_in}") from error
    except errors.RepositoryNotFoundError as error:
        raise FileNotFoundError(
            f"there is no folder {repo_id}, and no such repository on the Hub that you can access: "
            f"check the name, or, if it is private, {log_in}"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise FileNotFoundError(f"{repo_id} has no branch, tag or commit {revision!r} on the Hub") from error
    except errors.LocalEntryNotFoundError as error:
        raise FileNotFoundError(
            f"{repo_id}{f' at {revision}' if revision else ''} is not completely in the cache, and the Hub could not "
            "be reached: load it once online, without local_files_only or HF_HUB_OFFLINE"
        ) from error
    except errors.OfflineModeIsEnabled as error:
        raise ConnectionError(f"{repo_id} cannot be reached while HF_HUB_OFFLINE is set; unset it") from error
    except errors.HfHubHTTPError as error:
        if error.response is not None and error.response.status_code in (401, 403):
            raise PermissionError(f"the Hub refuses this token for {repo_id}: {log_in}") from error
        raise ConnectionError(f"the Hub returned an error for {repo_id}: {one_line(error)}") from error
    except errors.LocalTokenNotFoundError as error:
        raise PermissionError(f"no token is stored for the Hub: {log_in}") from error
    except Exception as error:
        # The client has used requests, httpx and httpx2 as its HTTP library, each with its own exceptions.
        if isinstance(error, ValueError) or getattr(error, "errno", None) is not None:  # a bad name; a full disk
            raise
        kind = type(error).__name__
        raise ConnectionError(f"no valid response from the Hub for {repo_id} ({kind}: {one_line(error)})") from error
