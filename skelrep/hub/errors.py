"""The Hub client's errors as built-in ones of one sentence."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from skelrep.messages import one_line


def checked_token(token: str | bool | None) -> str | bool | None:
    """An access token without the blanks and line ends around it.

    The transport refuses characters that no header may hold, and repeats the whole token in its message.

    Raises:
        ValueError: if something else than visible ASCII is in it; the message does not hold it.
    """
    if not isinstance(token, str):
        return token
    if not (token := token.strip()) or not all("!" <= character <= "~" for character in token):
        raise ValueError("the token is empty, or holds blanks, line ends or characters beyond ASCII; copy it anew")
    return token


@contextlib.contextmanager
def explain_errors(repo_id: str, revision: str | None = None) -> Iterator[None]:
    """Turns the Hub client's many errors into built-in ones of one sentence that says what to do."""
    from huggingface_hub import errors

    log_in = "log in with `hf auth login`, or pass token="
    try:
        yield
    except errors.GatedRepoError as error:
        raise PermissionError(f"{repo_id} is gated: ask for access on its page on the Hub, then {log_in}") from error
    except errors.RepositoryNotFoundError as error:
        raise FileNotFoundError(
            f"there is no folder {repo_id}, and on the Hub no such repository that you may see: "
            f"check the name, or, if it is private, {log_in}"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise FileNotFoundError(f"{repo_id} has no branch, tag or commit {revision!r} on the Hub") from error
    except errors.LocalEntryNotFoundError as error:
        raise FileNotFoundError(
            f"{repo_id}{f' at {revision}' if revision else ''} is not in the cache, or not all of it, and the Hub was "
            "not or could not be asked: load it once online, without local_files_only or HF_HUB_OFFLINE"
        ) from error
    except errors.OfflineModeIsEnabled as error:
        raise ConnectionError(f"{repo_id} cannot be reached while HF_HUB_OFFLINE is set; unset it") from error
    except errors.HfHubHTTPError as error:
        if error.response is not None and error.response.status_code in (401, 403):
            raise PermissionError(f"the Hub refuses this token for {repo_id}: {log_in}") from error
        raise ConnectionError(f"the Hub answered with an error about {repo_id}: {one_line(error)}") from error
    except errors.LocalTokenNotFoundError as error:
        raise PermissionError(f"no token is stored for the Hub: {log_in}") from error
    except Exception as error:
        # The client's transport was requests, then httpx, then httpx2, all with errors of their own.
        if isinstance(error, ValueError) or getattr(error, "errno", None) is not None:  # a bad name; a full disk
            raise
        kind = type(error).__name__
        raise ConnectionError(f"no proper answer from the Hub about {repo_id} ({kind}: {one_line(error)})") from error
