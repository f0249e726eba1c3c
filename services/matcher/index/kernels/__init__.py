"""The inner loops of the chunked index, compiled by numba. Import this package only where compiling may wait (see `index/compile.py`).

Unsigned integers throughout: numba tests signed indices for negative ones, and mixing the two makes floats.
Arrays are taken out of their tuples before a loop, and a loop hands on no array that a turn of it may exchange: numba counts
references there, with an instruction that lets no memory access pass, and the loops live from having many under way (a search
takes twice as long otherwise).
No function here checks a bound: `index/immutable_pdq.py` hands over arrays of one layout, and nobody else may call them.
"""

from services.matcher.index.kernels.building import fill_chunk as fill_chunk
from services.matcher.index.kernels.building import keys_of as keys_of
from services.matcher.index.kernels.comparing import scan as scan
from services.matcher.index.kernels.searching import search as search
from services.matcher.index.kernels.tables import Cut as Cut
from services.matcher.index.kernels.tables import Tables as Tables
