from .sequence import FSE
from .simulate import simulate, jacobian, vjp
