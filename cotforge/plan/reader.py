"""`reader:` of a stage of kind `grpo`: a second model that has to come to the answer from the student's words alone."""

from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, model_validator

from cotforge.spec import PathText, Spec
from cotforge.teachers.kinds.openai import OpenAITeacher
