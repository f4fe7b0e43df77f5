"""The main job: from a table to a network, its formula, and a page that shows their worth."""

from edgewise._report._discovery import Answer as Answer
from edgewise._report._discovery import Discovery as Discovery
from edgewise._report._discovery import Question as Question
from edgewise._report._discovery import ask as ask
from edgewise._report._discovery import line as line
from edgewise._report._discovery import write_discovery as write_discovery
from edgewise._report._folder import write as write
from edgewise._report._page import page as page
from edgewise._report._run import Interrupted as Interrupted
from edgewise._report._run import Run as Run
from edgewise._report._run import Settings as Settings
from edgewise._report._run import run as run
from edgewise._report._scores import Score as Score
