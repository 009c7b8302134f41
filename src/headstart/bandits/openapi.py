"""What the service offers, for programs (OpenAPI 3.1) and for people (one page, nothing fetched from elsewhere)."""

from __future__ import annotations

import html
import json
from typing import Any

from headstart.bandits.bandit import BanditSpec

ERRORS = {
    "400": "The request cannot work; `error` says why.",
    "503": "The disk refused the record. Nothing was acknowledged.",
}
NUMBER, INTEGER = {"type": "number"}, {"type": "integer", "minimum": 0}


def description(spec: BanditSpec) -> dict[str, Any]:
    """The OpenAPI description of a service for ``spec``."""
    from headstart import __version__

    reward = dict(NUMBER)
    if spec.bounded:
        reward |= {"minimum": spec.reward_low, "maximum": spec.reward_high}
    action = INTEGER | {"maximum": spec.arms - 1, "description": "The arm to pull."}
    propensity = NUMBER | {"description": "Probability with which it was chosen."}
    number = INTEGER | {"description": "By which its reward is reported."}
    request: dict[str, Any] = {"type": "object", "additionalProperties": False, "properties": {}}
    example: dict[str, Any] = {}
    if spec.features:
        row = {"type": "array", "items": NUMBER, "minItems": spec.features, "maxItems": spec.features}
        context = {"type": "array", "items": row, "minItems": spec.arms, "maxItems": spec.arms}
        request |= {"properties": {"context": context}, "required": ["context"]}
        example = {"context": [[0.0] * spec.features] * spec.arms} if spec.arms * spec.features <= 64 else {}
    chosen = _object({"decision": number, "action": action, "propensity": propensity})
    learned = {"type": "boolean", "description": "False where this reward was reported before; nothing is lost by it."}
    paths = {
        "/choose": _post("Choose an arm. The reply comes once the choice is on disk.", request, example, chosen, {}),
        "/observe": _post(
            "Report the reward of a decision, late or early, once. The reply comes once it is on disk; without a "
            "reply, send it again.",
            _object({"decision": number, "reward": reward}),
            {"decision": 0, "reward": spec.reward_high if spec.bounded else 1.0},
            _object({"decision": number, "learned": learned}),
            {"404": "No such decision was made.", "409": "Another reward was reported for it, or it waited too long."},
        ),
        "/state": {"get": _operation("What is served, and how far it has come.", {"type": "object"}, {})},
    }
    about = "A bandit learner at work. Every acknowledged choice and reward survives a kill."
    return {
        "openapi": "3.1.0",
        "info": {"title": "headstart bandit", "version": __version__, "description": about},
        "paths": paths,
    }


def page(spec: BanditSpec) -> str:
    """The same as a page to read."""
    about = description(spec)
    sections = []
    for path, methods in about["paths"].items():
        for method, operation in methods.items():
            sent = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            replies = "".join(
                f"<tr><td>{status}<td>{html.escape(reply['description'])}"
                for status, reply in operation["responses"].items()
            )
            body = json.dumps(sent.get("example", {}))
            data = f" \\\n  -H 'content-type: application/json' -d '{body}'" if sent else ""
            sections.append(
                f"<h2><code>{method.upper()} {path}</code></h2><p>{html.escape(operation['summary'])}</p>"
                f"<pre>curl http://$HOST{path}{html.escape(data)}</pre><table>{replies}</table>"
                "<details><summary>schemas</summary>"
                f"<pre>{html.escape(json.dumps(operation, indent=2))}</pre></details>"
            )
    style = (
        "body{font:16px/1.5 system-ui;max-width:50em;margin:2em auto;padding:0 1em}pre{background:#8881;padding:.7em}"
    )
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{about['info']['title']}</title>"
        f"<style>{style}td{{padding-right:1em}}</style><h1>{about['info']['title']}</h1>"
        f"<p>{about['info']['description']} For programs: <a href=/openapi.json>openapi.json</a>.</p>"
        f"{''.join(sections)}"
        "<script>for(const p of document.querySelectorAll('pre'))"
        "p.textContent=p.textContent.replace('$HOST',location.host)</script></html>"
    )


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _post(summary: str, request: Any, example: Any, reply: Any, errors: dict[str, str]) -> dict[str, Any]:
    content = {"application/json": {"schema": request, "example": example}}
    return {"post": _operation(summary, reply, errors) | {"requestBody": {"required": True, "content": content}}}


def _operation(summary: str, reply: Any, errors: dict[str, str]) -> dict[str, Any]:
    done = {"description": "Done.", "content": {"application/json": {"schema": reply}}}
    failed = {"application/json": {"schema": _object({"error": {"type": "string"}})}}
    refused = {status: {"description": text, "content": failed} for status, text in sorted((ERRORS | errors).items())}
    return {"summary": summary, "responses": {"200": done, **refused}}
