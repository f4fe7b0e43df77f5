"""The 120 equations from Feynman's lectures and other physics, as pykan numbers them."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from edgewise._errors import ConfigError

# Number, name, inputs in their order, equation, and the range of each input (or one for all). From
# Udrescu and Tegmark, "AI Feynman" (2020), with the ranges that pykan 0.2.8 draws from.
EQUATIONS = """\
1 | I.6.20a | theta | exp(-theta**2/2)/sqrt(2*pi) | -3,3
2 | I.6.20 | theta sigma | exp(-theta**2/(2*sigma**2))/(sqrt(2*pi)*sigma) | -1,1 0.5,2
3 | I.6.20b | theta theta1 sigma | exp(-(theta - theta1)**2/(2*sigma**2))/(sqrt(2*pi)*sigma) |\
    -1.5,1.5 -1.5,1.5 0.5,2
4 | I.8.14 | x1 x2 y1 y2 | sqrt((-x1 + x2)**2 + (-y1 + y2)**2) | -1,1 -1,1 -1,1 -1,1
5 | I.9.18 | G m1 m2 x1 x2 y1 y2 z1 z2 | G*m1*m2/((-x1 + x2)**2 + (-y1 + y2)**2 + (-z1 + z2)**2) |\
    -1,1 -1,1 -1,1 -1,-0.5 0.5,1 -1,-0.5 0.5,1 -1,-0.5 0.5,1
6 | I.10.7 | m0 v c | m0/sqrt(1 - v**2/c**2) | 0,1 0,1 1,2
7 | I.11.19 | x1 y1 x2 y2 x3 y3 | x1*y1 + x2*y2 + x3*y3 | -1,1
8 | I.12.1 | mu N_n | N_n*mu | -1,1
9 | I.12.2 | q1 q2 epsilon r | q1*q2/(4*pi*epsilon*r**2) | -1,1 -1,1 0.5,2 0.5,2
10 | I.12.4 | q1 epsilon r | q1/(4*pi*epsilon*r**2) | -1,1 0.5,2 0.5,2
11 | I.12.5 | q2 E_f | E_f*q2 | -1,1
12 | I.12.11 | q E_f B v theta | q*(B*v*sin(theta) + E_f) | -1,1 -1,1 -1,1 -1,1 0,2*pi
13 | I.13.4 | m u v w | 1/2*m*(u**2 + v**2 + w**2) | -1,1 -1,1 -1,1 -1,1
14 | I.13.12 | G m1 m2 r1 r2 | G*m1*m2*(1/r2 - 1/r1) | 0,1 0,1 0,1 0.5,2 0.5,2
15 | I.14.3 | m g z | g*m*z | 0,1 0,1 -1,1
16 | I.14.4 | k_s x | 1/2*k_s*x**2 | 0,1 -1,1
17 | I.15.3x | x u t c | (-t*u + x)/sqrt(1 - u**2/c**2) | -1,1 -1,1 -1,1 1,2
18 | I.15.3t | t u x c | (t - u*x/c**2)/sqrt(1 - u**2/c**2) | -1,1 -1,1 -1,1 1,2
19 | I.15.10 | m0 v c | m0*v/sqrt(1 - v**2/c**2) | -1,1 -0.9,0.9 1.1,2
20 | I.16.6 | u v c | (u + v)/(1 + u*v/c**2) | -0.8,0.8 -0.8,0.8 1,2
21 | I.18.4 | m1 r1 m2 r2 | (m1*r1 + m2*r2)/(m1 + m2) | 0.5,1 -1,1 0.5,1 -1,1
22 | I.18.12 | r F theta | F*r*sin(theta) | -1,1 -1,1 0,2*pi
23 | I.18.16 | m r v theta | m*r*v*sin(theta) | -1,1 -1,1 -1,1 0,2*pi
24 | I.24.6 | m omega omega_0 x | 1/4*m*x**2*(omega**2 + omega_0**2) | 0,1 -1,1 -1,1 -1,1
25 | I.25.13 | q C | q/C | -1,1 0.5,2
26 | I.26.2 | n theta2 | asin(n*sin(theta2)) | 0,0.99 0,2*pi
27 | I.27.6 | d1 d2 n | 1/(n/d2 + 1/d1) | 0.5,2 1,2 0.5,2
28 | I.29.4 | omega c | omega/c | 0,1 0.5,2
29 | I.29.16 | x1 x2 theta1 theta2 | sqrt(x1**2 - 2*x1*x2*cos(theta1 - theta2) + x2**2) |\
    -1,1 -1,1 0,2*pi 0,2*pi
30 | I.30.3 | I_0 n theta | I_0*sin(n*theta/2)**2/sin(theta/2)**2 | 0,1 0,4 0.4*pi,1.6*pi
31 | I.30.5 | lambda n d | asin(lambda/(d*n)) | -1,1 1,1.5 1,1.5
32 | I.32.5 | q a epsilon c | a**2*q**2/(6*pi*epsilon*c**3) | -1,1 -1,1 0.5,2 0.5,2
33 | I.32.17 | epsilon c E_f r omega omega_0 |\
    4*pi*E_f**2*c*epsilon*omega**4*r**2/(3*(omega**2 - omega_0**2)**2) |\
    0,1 0,1 -1,1 0,1 0,1 1,2
34 | I.34.8 | q V B p | B*V*q/p | -1,1 -1,1 -1,1 0.5,2
35 | I.34.10 | omega_0 v c | omega_0/(1 - v/c) | 0,1 0,0.9 1.1,2
36 | I.34.14 | omega_0 v c | omega_0*(1 + v/c)/sqrt(1 - v**2/c**2) | 0,1 -0.9,0.9 1.1,2
37 | I.34.27 | hbar omega | hbar*omega | -1,1 -1,1
38 | I.37.4 | I_1 I_2 delta | I_1 + I_2 + 2*sqrt(I_1*I_2)*cos(delta) | 0.1,1 0.1,1 0,2*pi
39 | I.38.12 | epsilon hbar m q | 4*pi*epsilon*hbar**2/(m*q**2) | 0,1 0,1 0.5,2 0.5,2
40 | I.39.10 | p_F V | 3/2*V*p_F | 0,1 0,1
41 | I.39.11 | gamma p_F V | V*p_F/(gamma - 1) | 1.5,3 0,1 0,1
42 | I.39.22 | n k_b T V | T*k_b*n/V | 0,1 0,1 0,1 0.5,2
43 | I.40.1 | n_0 m g x k_b T | n_0*exp(-g*m*x/(T*k_b)) | 0,1 -1,1 -1,1 -1,1 1,2 1,2
44 | I.41.16 | hbar omega c k_b T | hbar*omega**3/(pi**2*c**2*(exp(hbar*omega/(T*k_b)) - 1)) |\
    0.5,1 0.5,1 0.5,2 0.5,2 0.5,2
45 | I.43.16 | mu q V_e d | V_e*mu*q/d | 0,1 0,1 0,1 0.5,2
46 | I.43.31 | mu k_b T | T*k_b*mu | 0,1 0,1 0,1
47 | I.43.43 | gamma k_b v A | k_b*v/(A*(gamma - 1)) | 1.5,3 0,1 0,1 0.5,2
48 | I.44.4 | n k_b T V_1 V_2 | T*k_b*n*log(V_2/V_1) | 0,1 0,1 0,1 0.5,2 0.5,2
49 | I.47.23 | gamma p rho | sqrt(gamma*p/rho) | 0.1,1 0.1,1 0.5,2
50 | I.48.20 | m v c | c**2*m/sqrt(1 - v**2/c**2) | 0,1 -0.9,0.9 1.1,2
51 | I.50.26 | x_1 alpha omega t | x_1*(alpha*cos(omega*t)**2 + cos(omega*t)) | 0,1 0,1 0,2*pi 0,1
52 | II.2.42 | kappa T_1 T_2 A d | A*kappa*(-T_1 + T_2)/d | 0,1 0,1 0,1 0,1 0.5,2
53 | II.3.24 | P r | P/(4*pi*r**2) | 0,1 0.5,2
54 | II.4.23 | q epsilon r | q/(4*pi*epsilon*r) | 0,1 0.5,2 0.5,2
55 | II.6.11 | epsilon p_d theta r | p_d*cos(theta)/(4*pi*epsilon*r**2) | 0.5,2 0,1 0,2*pi 0.5,2
56 | II.6.15a | epsilon p_d z x y r | 3*p_d*z*sqrt(x**2 + y**2)/(4*pi*epsilon*r**5) |\
    0.5,2 0,1 0,1 0,1 0,1 0.5,2
57 | II.6.15b | epsilon p_d r theta | 3*p_d*sin(theta)*cos(theta)/(4*pi*epsilon*r**3) |\
    0.5,2 0,1 0.5,2 0,2*pi
58 | II.8.7 | q epsilon d | 3/20*q**2/(pi*d*epsilon) | 0,1 0.5,2 0.5,2
59 | II.8.31 | epsilon E_f | 1/2*E_f**2*epsilon | 0,1 0,1
60 | II.10.9 | sigma epsilon chi | sigma/(epsilon*(chi + 1)) | 0,1 0.5,2 0,1
61 | II.11.3 | q E_f m omega_o omega | E_f*q/(m*(-omega**2 + omega_o**2)) |\
    0,1 0,1 0.5,2 1.5,3 0,1
62 | II.11.17 | n_0 p_d E_f theta k_b T | n_0*(E_f*p_d*cos(theta)/(T*k_b) + 1) |\
    0,1 -1,1 -1,1 0,2*pi 0.5,2 0.5,2
63 | II.11.20 | n p_d E_f k_b T | E_f*n*p_d**2/(3*T*k_b) | 0,1 0,1 0,1 0.5,2 0.5,2
64 | II.11.27 | n alpha epsilon E_f | E_f*alpha*epsilon*n/(-alpha*n/3 + 1) | 0,1 0,2 0,1 0,1
65 | II.11.28 | n alpha | alpha*n/(-alpha*n/3 + 1) + 1 | 0,1 0,2
66 | II.13.17 | epsilon c l r | l/(2*pi*c**2*epsilon*r) | 0.5,2 0.5,2 0,1 0.5,2
67 | II.13.23 | rho v c | rho/sqrt(1 - v**2/c**2) | 0,1 0,1 1,2
68 | II.13.34 | rho v c | rho*v/sqrt(1 - v**2/c**2) | 0,1 0,1 1,2
69 | II.15.4 | mu_M B theta | -B*mu_M*cos(theta) | 0,1 0,1 0,2*pi
70 | II.15.5 | p_d E_f theta | -E_f*p_d*cos(theta) | 0,1 0,1 0,2*pi
71 | II.21.32 | q epsilon r v c | q/(4*pi*epsilon*r*(1 - v/c)) | 0,1 0.5,2 0.5,2 0,1 1,2
72 | II.24.17 | omega c d | sqrt(-pi**2/d**2 + omega**2/c**2) | 1,1.5 0.75,1 pi,1.5*pi
73 | II.27.16 | epsilon c E_f | E_f**2*c*epsilon | 0,1 0,1 -1,1
74 | II.27.18 | epsilon E_f | E_f**2*epsilon | 0,1 -1,1
75 | II.34.2a | q v r | q*v/(2*pi*r) | 0,1 0,1 0.5,2
76 | II.34.2 | q v r | q*r*v/2 | 0,1 0,1 0,1
77 | II.34.11 | g q B m | B*g*q/(2*m) | 0,1 0,1 0,1 0.5,2
78 | II.34.29a | q h m | h*q/(4*pi*m) | 0,1 0,1 0.5,2
79 | II.34.29b | g mu B J hbar | B*J*g*mu/hbar | 0,1 0,1 0,1 0,1 0.5,2
80 | II.35.18 | n0 mu B k_b T | n0/(exp(B*mu/(T*k_b)) + exp(-B*mu/(T*k_b))) |\
    0,1 0,1 0,1 0.5,2 0.5,2
81 | II.35.21 | n mu B k_b T | mu*n*tanh(B*mu/(T*k_b)) | 0,1 0,1 0,1 0.5,2 0.5,2
82 | II.36.38 | mu B k_b T alpha M epsilon c | B*mu/(T*k_b) + M*alpha*mu/(T*c**2*epsilon*k_b) |\
    0,1 0,1 0.5,2 0.5,2 0,1 0,1 0.5,2 0.5,2
83 | II.37.1 | mu chi B | B*mu*(chi + 1) | 0,1 0,1 0,1
84 | II.38.3 | Y A x d | A*Y*x/d | 0,1 0,1 0,1 0.5,2
85 | II.38.14 | Y sigma | Y/(2*sigma + 2) | 0,1 0,1
86 | III.4.32 | hbar omega k_b T | 1/(exp(hbar*omega/(T*k_b)) - 1) | 0.5,1 0.5,1 0.5,2 0.5,2
87 | III.4.33 | hbar omega k_b T | hbar*omega/(exp(hbar*omega/(T*k_b)) - 1) | 0,1 0,1 0.5,2 0.5,2
88 | III.7.38 | mu B hbar | 2*B*mu/hbar | 0,1 0,1 0.5,2
89 | III.8.54 | E t hbar | sin(E*t/hbar)**2 | 0,2*pi 0,1 0.5,2
90 | III.9.52 | p_d E_f t hbar omega omega_0 |\
    4*E_f*p_d*sin(t*(omega - omega_0)/2)**2/(hbar*t*(omega - omega_0)**2) |\
    0,1 0,1 0,1 0.5,2 0,pi 0,pi
91 | III.10.19 | mu B_x B_y B_z | mu*sqrt(B_x**2 + B_y**2 + B_z**2) | 0,1 0,1 0,1 0,1
92 | III.12.43 | n hbar | hbar*n | 0,1 0,1
93 | III.13.18 | E d k hbar | 2*E*d**2*k/hbar | 0,1 0,1 0,1 0.5,2
94 | III.14.14 | I_0 q V_e k_b T | I_0*(exp(V_e*q/(T*k_b)) - 1) | 0,1 0,1 0,1 0.5,2 0.5,2
95 | III.15.12 | U k d | 2*U*(1 - cos(d*k)) | 0,1 0,2*pi 0,1
96 | III.15.14 | hbar E d | hbar**2/(2*E*d**2) | 0,1 0.5,2 0.5,2
97 | III.15.27 | alpha n d | 2*pi*alpha/(d*n) | 0,1 0.5,2 0.5,2
98 | III.17.37 | beta alpha theta | beta*(alpha*cos(theta) + 1) | 0,1 0,1 0,2*pi
99 | III.19.51 | m q epsilon hbar n | -m*q**4/(32*pi**2*epsilon**2*hbar**2*n**2) |\
    0,1 0,1 0.5,2 0.5,2 0.5,2
100 | III.21.20 | rho q A m | -A*q*rho/m | 0,1 0,1 0,1 0.5,2
101 | Rutherford scattering | Z_1 Z_2 alpha hbar c E theta |\
    Z_1**2*Z_2**2*alpha**2*c**2*hbar**2/(16*E**2*sin(theta/2)**4) |\
    0,1 0,1 0,1 0,1 0,1 0.5,2 0.1*pi,0.9*pi
102 | Friedmann equation | G rho k_f c a_f | sqrt(8*pi*G*rho/3 - c**2*k_f/a_f**2) |\
    1,2 1,2 0,1 0,1 1,2
103 | Compton scattering | E m c theta | E/(E*(1 - cos(theta))/(c**2*m) + 1) |\
    0,1 0.5,2 0.5,2 0,2*pi
104 | Radiated gravitational wave power | G c m_1 m_2 r |\
    -32/5*G**4*m_1**2*m_2**2*(m_1 + m_2)/(c**5*r**5) |\
    0,1 0.5,2 0,1 0,1 0.5,2
105 | Relativistic aberration | theta_2 v c | acos((cos(theta_2) - v/c)/(1 - v*cos(theta_2)/c)) |\
    0,pi 0,1 1,2
106 | N-slit diffraction | I_0 alpha delta N |\
    4*I_0*sin(alpha/2)**2*sin(N*delta/2)**2/(alpha**2*sin(delta/2)**2) |\
    0,1 0.1*pi,0.9*pi 0.1*pi,0.9*pi 0.5,1
107 | Goldstein 3.16 | m E U L r | sqrt(2)*sqrt((E - L**2/(2*m*r**2) - U)/m) | 1,2 2,3 0,1 0,1 1,2
108 | Goldstein 3.55 | m k_G L E theta_1 theta_2 |\
    k_G*m*(sqrt(2*E*L**2/(k_G**2*m) + 1)*cos(theta_1 - theta_2) + 1)/L**2 |\
    0.5,2 0.5,2 0.5,2 0,1 0,2*pi 0,2*pi
109 | Goldstein 3.64 (ellipse) | d alpha theta_1 theta_2 |\
    d*(1 - alpha**2)/(alpha*cos(theta_1 - theta_2) + 1) |\
    0,1 0,0.9 0,2*pi 0,2*pi
110 | Goldstein 3.74 (Kepler) | d G m_1 m_2 | 2*pi*d**(3/2)/sqrt(G*(m_1 + m_2)) |\
    0,1 0.5,2 0.5,2 0.5,2
111 | Goldstein 3.99 | epsilon E L m Z_1 Z_2 q |\
    sqrt(2*E*L**2*epsilon**2/(Z_1**2*Z_2**2*m*q**4) + 1) |\
    0,1 0,1 0,1 0.5,2 0.5,2 0.5,2 0.5,2
112 | Goldstein 8.56 | p q A c m V_e | V_e*q + sqrt(c**4*m**2 + c**2*(-A*q + p)**2) | 0,1
113 | Goldstein 12.80 | m p omega x alpha y | (p**2 + m**2*omega**2*x**2*(1 + alpha*x/y))/(2*m) |\
    0.5,2 0,1 0,1 0,1 0,1 0.5,2
114 | Jackson 2.11 | q epsilon y V_e d |\
    q*(4*pi*V_e*d*epsilon - d*q*y**3/(-d**2 + y**2)**2)/(4*pi*epsilon*y**2) |\
    0,1 0.5,2 1,2 0,1 0,1
115 | Jackson 3.45 | q r d alpha | q/sqrt(d**2 - 2*d*r*cos(alpha) + r**2) | 0,1 0,1 0,1 0,2*pi
116 | Jackson 4.60 | E_f theta alpha d r |\
    E_f*(d**3*(alpha - 1)/(r**2*(alpha + 2)) - r)*cos(theta) |\
    0,1 0,2*pi 0,2 0,1 0.5,2
117 | Jackson 11.38 (Doppler) | omega v c theta | omega*sqrt(1 - v**2/c**2)/(1 + v*cos(theta)/c) |\
    0,1 0,1 1,2 0,2*pi
118 | Weinberg 15.2.1 | G c k_f a_f H | 3*(H**2 + c**2*k_f/a_f**2)/(8*pi*G) |\
    0.5,2 0,1 0,1 0.5,2 0,1
119 | Weinberg 15.2.2 | G c k_f a_f H alpha |\
    -(H**2*c**2*(1 - 2*alpha) + c**4*k_f/a_f**2)/(8*pi*G) |\
    0.5,2 0,1 0,1 0.5,2 0,1 0,1
120 | Schwarz 13.132 (Klein-Nishina) | alpha hbar m c omega_0 omega theta |\
    pi*(alpha*hbar*omega_0)**2/(c*m*omega)**2*(omega/omega_0 - sin(theta)**2 + omega_0/omega) |\
    0,1 0,1 0.5,2 0.5,2 0.5,2 0.5,2 0,2*pi
"""

SPELLINGS = {
    "I.8.4": "I.8.14",
    "I.10.9": "II.10.9",
    "Rutherforld scattering": "Rutherford scattering",
    "Friedman equation": "Friedmann equation",
}
"""Names that pykan writes otherwise."""


class Equation(NamedTuple):
    """One equation as text: `ranges` holds a pair for each input, or a single pair for all."""

    number: int
    name: str
    inputs: tuple[str, ...]
    expression: str
    ranges: list[Any]


def get_feynman_dataset(
    name: str | int,
) -> tuple[list[Any], Any, Callable[[Tensor], Tensor], list[Any]]:
    """Give one of the 120 equations as symbols, as an expression and as a torch function.

    The function is made from the expression, so the two cannot differ: in pykan the labels of
    numbers 20 and 113 belong to other equations, 114 has none, and 32 lacks its factor 6 pi.

    Args:
        name: The number, 1 to 120, or the name, such as "I.9.18"; "test" is pykan's test equation.

    Returns:
        The SymPy symbols in the order of the inputs; the SymPy expression; a function from inputs
        of shape (batch, inputs) to labels (batch, 1); and the ranges of the inputs, as
        `create_dataset` takes them.

    Raises:
        ConfigError: If there is no such equation.

    Example:
        >>> from edgewise.compat.pykan import create_dataset, get_feynman_dataset
        >>> symbols, expr, f, ranges = get_feynman_dataset("I.16.6")
        >>> expr
        (u + v)/(1 + u*v/c**2)
        >>> dataset = create_dataset(f, n_var=len(symbols), ranges=ranges)
        >>> dataset["train_label"].shape
        torch.Size([1000, 1])
    """
    import sympy

    equation = _find(name)
    symbols = [sympy.Symbol(symbol) for symbol in equation.inputs]
    safe = {"lambda": "lambda_"}  # a word of Python
    words = {safe.get(symbol.name, symbol.name): symbol for symbol in symbols}
    text = equation.expression.replace("lambda", "lambda_")
    expr = sympy.parse_expr(text, local_dict=words)
    return symbols, expr, as_function(symbols, expr), copy.deepcopy(equation.ranges)


def as_function(symbols: list[Any], expr: Any) -> Callable[[Tensor], Tensor]:
    """Turn an expression into a function from inputs (batch, inputs) to values (batch, 1)."""
    import sympy

    words = {"asin": torch.asin, "acos": torch.acos, "atan": torch.atan, "Abs": torch.abs}
    words |= {word: getattr(torch, word) for word in "sin cos tan tanh exp log".split()}
    words |= {"sqrt": lambda u: u**0.5, "pi": math.pi}
    call = sympy.lambdify(symbols, expr, [words, "math"])

    def function(x: Tensor) -> Tensor:
        value = call(*x.split(1, dim=1))
        return torch.as_tensor(value, dtype=x.dtype, device=x.device).expand(len(x), 1)

    return function


@cache
def _equations() -> dict[str | int, Equation]:
    found: dict[str | int, Equation] = {}
    for line in EQUATIONS.strip().splitlines():
        number, name, inputs, expression, ranges = (part.strip() for part in line.split("|"))
        pairs = [[_bound(end) for end in pair.split(",")] for pair in ranges.split()]
        names = tuple(inputs.split())
        one = len(pairs) == 1 and len(names) > 1
        equation = Equation(int(number), name, names, expression, pairs[0] if one else pairs)
        found[name] = found[equation.number] = equation
    found["test"] = Equation(0, "test", ("x", "y"), "(x + y)*sin(exp(2*y))", [-1.0, 1.0])
    return found


def _bound(text: str) -> float:
    if text.endswith("pi"):
        return float(text.removesuffix("pi").removesuffix("*") or 1) * math.pi
    return float(text)


def _find(name: str | int) -> Equation:
    key = SPELLINGS.get(name, name) if isinstance(name, str) else name
    found = _equations().get(key)
    if found is None:
        raise ConfigError(
            f"There is no equation {name!r}. They go by their numbers, 1 to 120, and by names such "
            "as 'I.9.18' or 'Compton scattering'."
        )
    return found
