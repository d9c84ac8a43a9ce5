"""Values of a type, enough to have each of its parts once: only what is required, everything, every
choice of every union and literal, lists that are empty, and null where it may stand."""

import types
import typing

import pydantic

# Also base64, which is all that the text of audio has to be.
TEXT = "AAAA"


def instances(kind):
    """The first is the smallest, the second the whole; the others differ from it in one choice."""
    origin = typing.get_origin(kind)
    if origin is typing.Annotated:
        return instances(typing.get_args(kind)[0])
    if origin in (typing.Union, types.UnionType):
        return [value for choice in typing.get_args(kind) for value in instances(choice)]
    if origin is typing.Literal:
        return list(typing.get_args(kind))
    if origin is list:
        return [[], *([value] for value in instances(typing.get_args(kind)[0]))]
    if origin is dict or kind is dict:
        return [{}, {TEXT: TEXT}]
    if isinstance(kind, type) and issubclass(kind, pydantic.BaseModel):
        return models(kind)
    simple = {str: [TEXT], int: [7], float: [1.5], bool: [True, False], type(None): [None]}
    return simple.get(kind) or [{TEXT: TEXT}]


def models(model):
    choices = {}
    for name, field in model.model_fields.items():
        choices[field.alias or name] = (field.is_required(), instances(field.annotation))
    smallest = {name: values[0] for name, (required, values) in choices.items() if required}
    whole = {name: fullest(values) for name, (_, values) in choices.items()}
    others = [
        {**whole, name: value}
        for name, (_, values) in choices.items()
        for value in values
        if value != whole[name]
    ]
    return [smallest, whole, *others]


def fullest(values):
    """The second of a model or list is its whole; of anything else any value will do."""
    containers = [value for value in values if isinstance(value, (dict, list)) and value]
    return containers[0] if containers else next((value for value in values if value is not None), None)
