"""Import what the modules of all of transformers' architectures import.

transformers loads the module of an architecture when a model of it is loaded, and with the first
some 900 of its own and torch's. A process that will be forked imports this module before, unless
all models that it will load are plain BERTs (``bert.py``).
"""

from transformers.models.auto import modeling_auto as modeling_auto
from transformers.models.auto import tokenization_auto as tokenization_auto
from transformers.models.bert import modeling_bert as modeling_bert
